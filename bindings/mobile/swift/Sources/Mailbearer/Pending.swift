import Foundation

/// A value that comes once. Any number of tasks may wait for it, and each of them can be cancelled.
package final class Pending<Value: Sendable>: @unchecked Sendable {
    private enum Waiter {
        case waiting(CheckedContinuation<Value, any Error>)
        /// It was cancelled before it began to wait.
        case cancelled
    }

    private let lock = NSLock()
    private var result: Result<Value, any Error>?
    private var waiters: [Int: Waiter] = [:]
    private var lastNumber = 0

    package init() {}

    var isResolved: Bool { lock.withLock { result != nil } }

    /// What has come; `nil` where nothing has, or an error.
    package var now: Value? { lock.withLock { try? result?.get() } }

    /// What has come, or the error.
    package var outcome: Result<Value, any Error>? { lock.withLock { result } }

    /// Brings the value. Only the first one counts.
    package func resolve(_ result: Result<Value, any Error>) {
        let waiters = lock.withLock {
            guard self.result == nil else { return [Int: Waiter]() }
            self.result = result
            defer { self.waiters = [:] }
            return self.waiters
        }
        for case .waiting(let continuation) in waiters.values {
            continuation.resume(with: result)
        }
    }

    /// Waits for the value.
    package func value() async throws -> Value {
        let number = lock.withLock {
            lastNumber += 1
            return lastNumber
        }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { wait(number, $0) }
        } onCancel: {
            cancel(number)
        }
    }

    private func wait(_ number: Int, _ continuation: CheckedContinuation<Value, any Error>) {
        let outcome: Result<Value, any Error>? = lock.withLock {
            if result != nil {
                return result
            }
            if waiters.removeValue(forKey: number) != nil {
                return .failure(CancellationError())
            }
            waiters[number] = .waiting(continuation)
            return nil
        }
        if let outcome {
            continuation.resume(with: outcome)
        }
    }

    private func cancel(_ number: Int) {
        let waiter = lock.withLock {
            let waiter = waiters.removeValue(forKey: number)
            if waiter == nil, result == nil {
                waiters[number] = .cancelled
            }
            return waiter
        }
        if case .waiting(let continuation) = waiter {
            continuation.resume(throwing: CancellationError())
        }
    }
}

/// Runs the operation, and cancels it at the deadline.
///
/// - Returns: `nil` where the deadline came first.
func withDeadline<Value: Sendable>(
    _ deadline: ContinuousClock.Instant, _ operation: @escaping @Sendable () async throws -> Value
) async throws -> Value? {
    try await withThrowingTaskGroup(of: Value?.self) { group in
        group.addTask(operation: operation)
        group.addTask {
            try await Task.sleep(until: deadline, clock: .continuous)
            return nil
        }
        defer { group.cancelAll() }
        // A task that was cancelled from outside ends both.
        return try await group.next() ?? nil
    }
}

/// Runs the operation, and cancels it at the deadline.
///
/// - Returns: what it returned, or what it made of that.
/// - Throws: what it threw. `CancellationError`: at the deadline it could say no more.
func untilDeadline<Value: Sendable>(
    _ deadline: ContinuousClock.Instant, _ operation: @escaping @Sendable () async throws -> Value
) async throws -> Value {
    try await withThrowingTaskGroup(of: Value?.self) { group in
        group.addTask(operation: operation)
        group.addTask {
            try? await Task.sleep(until: deadline, clock: .continuous)
            return nil
        }
        while let outcome = try await group.next() {
            group.cancelAll()
            if let outcome {
                return outcome
            }
        }
        throw CancellationError()
    }
}
