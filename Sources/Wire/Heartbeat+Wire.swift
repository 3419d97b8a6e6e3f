import SwiftProtobuf

extension Lighter_V1_Heartbeat {
    /// Nothing is news, and no answer is asked for.
    private static let nothingNew = Self.with {
        $0.quiet = true
        $0.same = true
    }

    /// An empty one where nothing is news: it is the one that is sent most.
    package var abbreviated: Self { self == Self.nothingNew ? Self() : self }
    /// What an empty one means; no agent says otherwise that its inventory is empty without asking for an answer.
    package var spelledOut: Self { self == Self() ? Self.nothingNew : self }
}
