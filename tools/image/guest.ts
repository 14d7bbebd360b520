// SPDX-License-Identifier: Apache-2.0
// Runs the second stage of an image in Rookery itself.

import { UsageError } from "../cli/errors.ts";
import type { GuestOptions, GuestResult } from "./runner.ts";

export function rookeryRunner(_options: GuestOptions): Promise<GuestResult> {
  throw new UsageError("the machine cannot run maintainer scripts yet; --no-configure leaves them to dpkg in the guest");
}
