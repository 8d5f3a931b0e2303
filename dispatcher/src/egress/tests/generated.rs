//! Any script of any sink: every attempt ends once.
