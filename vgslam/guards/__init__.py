"""What comes from outside, before it is used: sizes of images and arrays, limits of documents, names, text to show."""
