"""Where a text comes from, for the page and for programs: POST /api/verify, /api/report, /detect.

checker    signature, watermark and content of one text, and the signed report of them
schema     what the routes take and answer
routes     the routes themselves
shown      the same for the page, in words
"""
