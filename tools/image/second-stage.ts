// SPDX-License-Identifier: Apache-2.0
// The second stage of an image: maintainer scripts, run by one shell script inside the guest.
//
// The first stage has unpacked everything at once, so the "preinst install" scripts that dpkg would have run
// before each unpacking run first, in dependency order; then one dpkg configures all packages in that order.
// Nothing is started: policy-rc.d forbids it, as Debian's invoke-rc.d asks before it starts a service.
// Source: Debian Policy 6.5 to 6.7, dpkg(1), deb-preinst(5).

import type { UnpackedPackage } from "./dpkg-database.ts";
import { infoName } from "./dpkg-database.ts";

/** Where the script lies in the guest; it is not part of the finished image. */
export const SECOND_STAGE_PATH = "var/lib/rookery/second-stage";

/** The script for packages given in the order in which they are to be configured. */
export function secondStageScript(ordered: readonly UnpackedPackage[], sourceDate: number): string {
  const preinsts = ordered.filter(({ files }) => files.some((file) => file.name === "preinst")).map((unpacked) => {
    const name = unpacked.chosen.name;
    return `preinst ${name} ${unpacked.control.get("Architecture") ?? ""} ${infoName(unpacked)}`;
  });
  return `#!/bin/sh
# Configures the packages that the image builder unpacked.
set -e
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C
export DEBIAN_FRONTEND=noninteractive DEBCONF_NONINTERACTIVE_SEEN=true DEBCONF_NOWARNINGS=yes
export SOURCE_DATE_EPOCH=${String(sourceDate)}
umask 022
cd /
printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d

preinst() {
  echo "Preparing $1"
  DPKG_MAINTSCRIPT_PACKAGE=$1 DPKG_MAINTSCRIPT_ARCH=$2 DPKG_MAINTSCRIPT_NAME=preinst \\
    DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT=1 DPKG_ROOT= DPKG_ADMINDIR=/var/lib/dpkg \\
    "/var/lib/dpkg/info/$3.preinst" install
}
${preinsts.join("\n")}
dpkg --force-confold --configure ${ordered.map(({ chosen }) => chosen.name).join(" ")}
rm -f /usr/sbin/policy-rc.d
audit=$(dpkg --audit)
if [ -n "$audit" ]; then
  echo "$audit"
  exit 1
fi
`;
}
