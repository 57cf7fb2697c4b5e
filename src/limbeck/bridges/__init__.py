"""What other libraries' users expect of limbeck, each bridge imported only when asked for."""
