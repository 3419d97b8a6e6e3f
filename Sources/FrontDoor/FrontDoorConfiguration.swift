package import Fleet

/// How a device's front door is set up.
package struct FrontDoorConfiguration: Sendable {
    /// Where clients connect. At most 107 bytes.
    package var socketPath: String
    /// The group that may use the socket besides its owner; nil leaves the process's own.
    package var group: String?
    /// The device's own engine, or nil where it has none and all work goes away.
    package var enginePath: String?
    /// Below a container's labels, above the gateway's.
    package var policy: PolicyOverrides
    /// Lighter's version, as `docker version` shows it where the device has no engine.
    package var version: String
    /// A missing image of at most this size is shipped within `create`; of a larger one the client sees pull progress.
    package var quietImageLimit: ByteCount
    /// To how many of the likeliest nodes an image travels ahead of need, once a container of it has run here.
    package var preloadNodes = 0
    /// What becomes of work of a lost node when that is back, where no label of the container's says so.
    package var returns = LossPolicy.Return.keepReplacement
    /// How bind mounts leave the device; nil keeps containers with bind mounts here.
    package var mounts: MountSettings?
    /// A folder for what a build needs twice; nil keeps builds here.
    package var spool: String?

    package struct MountSettings: Sendable, Hashable {
        /// Where the state of each mount is remembered; a folder of its own, made when it is needed.
        package var folder: String
        /// A container whose mounts hold more when it is placed, or one of them when it starts first, does not leave the device.
        package var maximumBytes: ByteCount

        package init(folder: String, maximumBytes: ByteCount = .gibibytes(1)) {
            self.folder = folder
            self.maximumBytes = maximumBytes
        }
    }

    package init(
        socketPath: String, group: String? = nil, enginePath: String?, policy: PolicyOverrides = PolicyOverrides(),
        version: String, quietImageLimit: ByteCount = .mebibytes(4), mounts: MountSettings? = nil, spool: String? = nil
    ) {
        self.spool = spool
        self.mounts = mounts
        self.socketPath = socketPath
        self.group = group
        self.enginePath = enginePath
        self.policy = policy
        self.version = version
        self.quietImageLimit = quietImageLimit
    }
}
