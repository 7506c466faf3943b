// zlib: gzip streams of capture files.
#include <zlib.h>
