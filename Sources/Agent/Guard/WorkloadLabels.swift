internal import DockerAPI
package import Fleet

/// The labels under which the guard keeps, in its engine, whose container it is; set at create and never changed.
package struct WorkloadLabels: Sendable, Hashable {
    /// Whatever begins so is Lighter's; a caller's own values are dropped.
    package static let prefix = "io.lighter."
    package static let workload = "io.lighter.workload"
    package static let epoch = "io.lighter.epoch"
    package static let origin = "io.lighter.origin"
    package static let tenant = "io.lighter.tenant"
    package static let target = "io.lighter.target"
    /// The name as its user gave it; absent when the engine drew one.
    package static let name = "io.lighter.name"
    /// The image as its user asked for it. As the next one the origin may set it: they are only ever shown.
    package static let image = "io.lighter.image"
    /// The id by which its users know a container that was begun before; absent where that is the engine's.
    package static let container = "io.lighter.container"

    /// `true` for work that must never run twice, as its origin wishes.
    package static let exclusive = CreateRequest.exclusiveLabel

    /// Every label that a container of another node may have of Lighter's.
    static let all = [
        workload, epoch, origin, tenant, target, name, image, container, exclusive, CreateRequest.filesLabel,
    ]

    package var id: WorkloadID
    package var epoch: UInt64
    package var origin: NodeID
    package var tenant: TenantID
    package var target: NodeID
    package var name: String
    package var image: String
    package var container = ""
    package var isExclusive: Bool

    package init(
        id: WorkloadID, epoch: UInt64, origin: NodeID, tenant: TenantID, target: NodeID, name: String, image: String,
        isExclusive: Bool = false
    ) {
        self.isExclusive = isExclusive
        self.id = id
        self.epoch = epoch
        self.origin = origin
        self.tenant = tenant
        self.target = target
        self.name = name
        self.image = image
    }

    /// Reads a container's labels; nil when it is no work of Lighter's or its labels are damaged.
    package init?(_ label: (String) -> String?) {
        guard let id = label(Self.workload), let workload = try? WorkloadID(id),
            let epoch = label(Self.epoch).flatMap({ UInt64($0) }),
            let origin = label(Self.origin), let originNode = try? NodeID(origin),
            let tenant = label(Self.tenant), let owner = try? TenantID(tenant),
            let target = label(Self.target), let targetNode = try? NodeID(target)
        else { return nil }
        self.init(
            id: workload, epoch: epoch, origin: originNode, tenant: owner, target: targetNode,
            name: label(Self.name) ?? "", image: label(Self.image) ?? "",
            isExclusive: label(Self.exclusive) == "true")
        container = label(Self.container) ?? ""
    }

    /// As they go into a create request.
    package var pairs: [(key: String, value: String)] {
        var pairs = [
            (Self.workload, id.hex), (Self.epoch, String(epoch)), (Self.origin, origin.name),
            (Self.tenant, tenant.name), (Self.target, target.name),
        ]
        if !name.isEmpty { pairs.append((Self.name, name)) }
        if !image.isEmpty { pairs.append((Self.image, image)) }
        if !container.isEmpty { pairs.append((Self.container, container)) }
        if isExclusive { pairs.append((Self.exclusive, "true")) }
        return pairs.map { (key: $0.0, value: $0.1) }
    }

    /// The container's name on the target's engine: `NAME.ORIGIN`, so that two devices may both have a `web`.
    ///
    /// Node names have no dots, so the last one always divides the two.
    package static func engineName(_ name: String, origin: NodeID) -> String { "\(name).\(origin.name)" }
}
