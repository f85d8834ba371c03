"""Dockerfiles, one for each target family, on AWS's images."""
