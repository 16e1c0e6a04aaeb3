"""Captioners: pictures into the words that training reads beside them.

A file here without a leading underscore is a captioner, found by its name (see `controlnet.registry`).
"""
