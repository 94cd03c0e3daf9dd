"""The result document, how it is built, and the renderers that show it. Nothing here ever sees a packet but `build`."""
