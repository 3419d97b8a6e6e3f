// What glibc's module in Swift leaves out: giving memory back to the system.
#include <malloc.h>
