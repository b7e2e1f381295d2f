// Tests of the room EventLoop.
