// Tests of the room Configuration.
