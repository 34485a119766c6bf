//! End-to-end tests of the `ibid` binary, one test binary.
