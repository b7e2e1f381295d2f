#include "revision.h"

// scripts/stamp.sh writes the commit behind the mark, into the linked program: a text from the manifest would have everything compiled
// anew for each commit. Volatile, so that the compiler does not know what stands there.
static const volatile char mark[] = "@(#)sluice commit:                                ";

const char *sluice_revision(void) {
    return (const char *)mark + sizeof("@(#)sluice commit:") - 1;
}
