"""Arrays that are not in memory: in files, stores and columns of tables, or one after the other."""

from parsum.sources.base import Finite, Reader, Source
from parsum.sources.files import File
from parsum.sources.iterators import Chunks
from parsum.sources.opening import open_source, source_of

__all__ = ["Chunks", "File", "Finite", "Reader", "Source", "open_source", "source_of"]
