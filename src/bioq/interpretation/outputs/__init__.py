"""The outputs of an explanation: arrays, tables, tracks, sites, and a folder for tfmodisco-lite.

`by_ending` chooses the output of a file name; every output is written window by window.
"""
