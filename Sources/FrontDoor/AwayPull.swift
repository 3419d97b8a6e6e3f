internal import Engine
internal import Fleet

/// A pull at another node that its client waits for.
@NodeLoop
final class AwayPull {
    let node: NodeID
    let news = News()
    init(node: NodeID) { self.node = node }
}
