// Extended attributes, which Swift's Glibc module leaves out.
#include <sys/types.h>
#include <sys/xattr.h>
