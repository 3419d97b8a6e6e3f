/// Epochs that were given out and are not in the ledger: it was restored from a copy that is older than they are.
package enum LostEpochs {
    /// What a person reads of them.
    package static let remedy = """
        it was restored from an old backup; start lighter-gateway with --recover, which takes in what the nodes know to be newer
        """
}
