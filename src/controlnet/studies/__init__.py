"""Studies: a claim of the paper as arms of one plan, trained and measured over seeds, told in tables."""
