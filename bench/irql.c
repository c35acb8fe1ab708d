/* The IRQL of a thread; irql.h has the rules. */
#include "irql.h"

_Thread_local enum irql irql_of_thread = PASSIVE_LEVEL;

const char *irql_name(enum irql level)
{
	switch (level) {
	case PASSIVE_LEVEL:
		return "PASSIVE_LEVEL";
	case APC_LEVEL:
		return "APC_LEVEL";
	case DISPATCH_LEVEL:
		return "DISPATCH_LEVEL";
	}
	return "?";
}
