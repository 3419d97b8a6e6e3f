// Extended attributes, which Swift's Glibc module leaves out.
#include <sys/types.h>
#include <sys/xattr.h>

// What of Linux's own calls it leaves out as well.
int syncfs(int file);
int sync_file_range(int file, __off64_t offset, __off64_t count, unsigned int flags);
enum { lighter_path_only = 010000000 };
enum { lighter_sync_range = 2, lighter_sync_range_and_wait = 1 | 2 | 4, lighter_time_kept = (1 << 30) - 2 };
