//! The driver: one worker per thread performs what the mesh asks for and feeds it events.
