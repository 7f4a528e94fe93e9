"""Label columns: from values of any form to class ids."""
