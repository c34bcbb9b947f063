"""`benchmark-codec`: what the codec front end costs, and how right it is."""
