# callscoot: what a person types. `make help` lists it.
