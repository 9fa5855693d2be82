select species, island, bill_length_mm, bill_depth_mm, flipper_length_mm, body_mass_g, sex, year
from penguins
order by year, species, island, body_mass_g
