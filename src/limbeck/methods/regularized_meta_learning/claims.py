from limbeck.claims import Claim

CLAIMS: list[Claim] = []
