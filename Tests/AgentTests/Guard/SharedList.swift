import Synchronization

/// A list that any thread may add to.
final class SharedList<Element: Sendable>: Sendable {
    private let list = Mutex<[Element]>([])

    func append(_ element: Element) { list.withLock { $0.append(element) } }
    func popFirst() -> Element? { list.withLock { $0.isEmpty ? nil : $0.removeFirst() } }
    var elements: [Element] { list.withLock { $0 } }
}
