from .street_command import street as street
