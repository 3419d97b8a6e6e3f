package import Fleet

/// What this node's owner lets other nodes' containers have; every default is the safe one.
package struct GuardPolicy: Sendable, Hashable {
    /// `allow_privileged`: containers that own this machine. Leave it off.
    package var allowsPrivileged = false
    /// `accept_builds`: builds of images. What their `ADD` names, and triggers of the images that they begin with, is fetched by
    /// the engine itself, on this machine's own network.
    package var acceptsBuilds = false
    /// `host_paths`: folders and files that may be bind-mounted, each exactly as written.
    ///
    /// Paths below an entry are not admitted: whoever can write there could leave a symbolic link to `/`.
    package var hostPaths: Set<String> = []
    /// `volumes`: named volumes of this node's engine that may be mounted; anonymous ones always may.
    package var volumes: Set<String> = []
    /// `networks`: this engine's user-defined networks that may be joined, beside `bridge` and `none`.
    package var networks: Set<String> = []
    /// `capabilities`: beyond Docker's default set, without `CAP_`.
    package var capabilities: Set<String> = []
    /// `devices`: paths of this machine's devices that may be passed in.
    package var devices: Set<String> = []
    /// `device_requests`: GPUs and the like, by `--gpus`.
    package var allowsDeviceRequests = false
    /// `runtimes`: names of OCI runtimes that may be asked for, beside the engine's default.
    package var runtimes: Set<String> = []

    /// `max_cpus`: of one container; nil for as many as there are.
    package var maximumCPUs: Double?
    /// `max_memory`: of one container; nil for as much as there is.
    package var maximumMemory: ByteCount?
    /// `default_pids`: the limit of a container that asks for none.
    package var defaultPids: Int64 = 4096
    package var maximumPids: Int64 = 32_768
    /// `/dev/shm` of one container.
    package var maximumShm: ByteCount = .gibibytes(1)
    /// One `--tmpfs`, and the size of those that name none.
    package var maximumTmpfs: ByteCount = .gibibytes(1)
    package var maximumOpenFiles: Int64 = 1_048_576
    /// Locked memory by `--ulimit memlock`.
    package var maximumLockedMemory: ByteCount = .mebibytes(64)
    /// Of a create, update or exec body.
    package var maximumBody: Int = 4 << 20
    /// Of one image archive that a peer ships.
    package var maximumImage: ByteCount = .gibibytes(16)

    package init() {}
}
