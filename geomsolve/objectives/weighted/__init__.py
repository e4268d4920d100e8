"""Weighted InfoNCE: samples whose pairs have weights."""
