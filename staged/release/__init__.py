"""A model family and its evidence become what was published in 2019, stage by stage: package, card,
decision, signature.
"""
