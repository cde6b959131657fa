"""The version of lms: stated here, and read by the distribution, the command line and the cache."""

VERSION = "0.1.0"
