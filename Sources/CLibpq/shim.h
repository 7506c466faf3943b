// PostgreSQL client library: the few functions PostgresStore calls.
#include <libpq-fe.h>
