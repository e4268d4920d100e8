"""The page to play with: inputs to answers (`model`), answers to pictures (`pictures`), and the page itself."""
