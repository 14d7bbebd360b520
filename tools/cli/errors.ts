// SPDX-License-Identifier: Apache-2.0
// Errors that a person can act on: printed as one line, without a stack.

export class UsageError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "UsageError";
  }
}
