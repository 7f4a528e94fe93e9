"""From probabilities to a judgement: scores, their certainty, their trustworthiness, and the pages that show them."""
