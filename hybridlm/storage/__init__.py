"""The directory of a run and what is in it: files that are whole or not there, on a disk and in a bucket."""
