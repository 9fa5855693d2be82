"""The floor of the house: small modules without tables that every app may stand on."""
