"""Students chosen for a teacher before anything is trained."""
