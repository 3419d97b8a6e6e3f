// What of libbpf 1 is called, declared here so that nothing of it is needed to build: it is loaded while running, where it is.
// Names and layouts are its own. Options begin with their size, and may be shorter than the library's: the rest counts as zero.
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// The thread's own number, which Swift's Glibc module leaves out.
pid_t gettid(void);

struct bpf_prog_load_opts {
    size_t sz;
    int attempts;
    uint32_t expected_attach_type, prog_btf_fd, prog_flags, prog_ifindex, kern_version;
    uint32_t attach_btf_id, attach_prog_fd, attach_btf_obj_fd;
    const int *fd_array;
    const void *func_info;
    uint32_t func_info_cnt, func_info_rec_size;
    const void *line_info;
    uint32_t line_info_cnt, line_info_rec_size;
    uint32_t log_level, log_size;
    char *log_buf;
};

struct bpf_test_run_opts {
    size_t sz;
    const void *data_in;
    void *data_out;
    uint32_t data_size_in, data_size_out;
    const void *ctx_in;
    void *ctx_out;
    uint32_t ctx_size_in, ctx_size_out;
    uint32_t retval;
    int repeat;
    uint32_t duration, flags, cpu, batch_size;
};

struct btf_type {
    uint32_t name_off;
    uint32_t info;
    uint32_t size_or_type;
};

struct btf_member {
    uint32_t name_off;
    uint32_t type;
    uint32_t offset;
};

struct btf_enum {
    uint32_t name_off;
    int32_t val;
};

typedef int (*lighter_map_create)(
    uint32_t type, const char *name, uint32_t key_size, uint32_t value_size, uint32_t max_entries, const void *opts);
typedef int (*lighter_prog_load)(
    uint32_t type, const char *name, const char *license, const uint64_t *instructions, size_t count,
    const struct bpf_prog_load_opts *opts);
typedef int (*lighter_prog_test_run)(int fd, struct bpf_test_run_opts *opts);
typedef int (*lighter_raw_tracepoint_open)(const char *name, int fd);
typedef int (*lighter_sample)(void *context, void *data, size_t size);
typedef void *(*lighter_ring_new)(int fd, lighter_sample sample, void *context, const void *opts);
typedef int (*lighter_ring_int)(void *ring);
typedef void (*lighter_free)(void *object);
typedef void *(*lighter_set_print)(void *print);
typedef void *(*lighter_btf_load)(void);
typedef int32_t (*lighter_btf_find)(const void *btf, const char *name, uint32_t kind);
typedef const struct btf_type *(*lighter_btf_type)(const void *btf, uint32_t id);
typedef const char *(*lighter_btf_name)(const void *btf, uint32_t offset);
