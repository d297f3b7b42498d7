/* SPDX-License-Identifier: GPL-2.0 */
/* The calls: ioctls on a descriptor of a guest */
#ifndef _P2M_CALLS_H
#define _P2M_CALLS_H

#include <linux/fs.h>

long p2m_ioctl(struct file *file, unsigned int cmd, unsigned long argp);

#endif /* _P2M_CALLS_H */
