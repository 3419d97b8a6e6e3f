package import Fleet

extension Lighter_V1_DrainRow {
    package init(_ row: DrainedWorkload) {
        self.init()
        workload = row.id.hex
        name = row.name
        origin = row.origin.name
        standing = row.standing.rawValue
        reason = row.reason
    }

    /// A standing that this version does not know reads as `unseen`.
    /// - Throws: `WireError.invalid` naming the field.
    package func domain() throws(WireError) -> DrainedWorkload {
        DrainedWorkload(
            id: try WireField.workload(workload, "drain.workload"), name: name,
            origin: try WireField.node(origin, "drain.origin"),
            standing: DrainedWorkload.Standing(rawValue: standing) ?? .unseen, reason: reason)
    }
}
