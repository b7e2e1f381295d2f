// The room Authentication.
