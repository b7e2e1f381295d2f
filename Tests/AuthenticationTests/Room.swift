// Tests of the room Authentication.
