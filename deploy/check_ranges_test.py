#!/usr/bin/python3
"""check_ranges.py by value: clashes and free ranges."""
import ipaddress
import sys
import unittest

sys.dont_write_bytecode = True
import check_ranges  # noqa: E402

net = ipaddress.ip_network


class CheckRanges(unittest.TestCase):
    def test_clash(self):
        used = [net("192.168.0.0/24"), net("fd00:88::/64"), net("10.88.7.0/24")]
        self.assertEqual(check_ranges.clash(net("10.88.0.0/16"), used),
                         net("10.88.7.0/24"))
        self.assertEqual(check_ranges.clash(net("10.88.7.128/25"), used),
                         net("10.88.7.0/24"))
        self.assertIsNone(check_ranges.clash(net("10.89.0.0/16"), used))
        self.assertIsNone(check_ranges.clash(net("fd00:89::/64"), used))

    def test_free_range_keeps_size_and_avoids_what_is_used(self):
        used = [net("10.0.0.0/15"), net("fd00:88::/64")]
        self.assertEqual(check_ranges.free_range(net("10.0.0.0/16"), used),
                         net("10.2.0.0/16"))
        self.assertEqual(check_ranges.free_range(net("fd00:88::/64"), used),
                         net("fd00:88:0:1::/64"))

    def test_next_pool_when_one_is_full(self):
        self.assertEqual(check_ranges.free_range(net("10.0.0.0/16"),
                                                 [net("10.0.0.0/8")]),
                         net("172.16.0.0/16"))

    def test_none_left(self):
        used = [net("10.0.0.0/8"), net("172.16.0.0/12"), net("192.168.0.0/16")]
        self.assertIsNone(check_ranges.free_range(net("10.0.0.0/16"), used))


if __name__ == "__main__":
    unittest.main()
