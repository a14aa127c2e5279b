-- Copyright the quorum.etcd contributors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later

-- For wrk: PUT one key after the other, 10,000 in all, and then again from the first.
-- Arguments: the directory of the keys, and the length of the values in bytes.

local directory, body, number

function init(args)
  directory = "/v2/keys" .. args[1] .. "/"
  body = "value=" .. string.rep("v", tonumber(args[2]))
  number = 0
  wrk.headers["Content-Type"] = "application/x-www-form-urlencoded"
end

function request()
  number = number % 10000 + 1
  return wrk.format("PUT", directory .. number, nil, body)
end
