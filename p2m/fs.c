// SPDX-License-Identifier: GPL-2.0
/*
 * The p2m file system: mount -t p2m none /run/p2m
 *
 * Each regular file is a guest, and there are directories.  An inode has its
 * guest from when it is made until it is evicted: so a guest lives as long as
 * its file has a name, a descriptor or a mapping.  file.c has what is done to a
 * file.
 *
 * The guests of /dev/p2m are files without a name in a mount that nobody else
 * sees.
 *
 * A mount may have a size, in bytes: as much as all of its files may have
 * together.  So a guest that is too large is refused when it is made, and not
 * when it touches its memory.
 */

#include <linux/ctype.h>
#include <linux/fs_context.h>
#include <linux/fs_parser.h>
#include <linux/magic.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/pagemap.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/statfs.h>

#include "compat.h"
#include "discard.h"
#include "fs.h"
#include "guests.h"

#define P2M_FS_MAGIC	0x70326d21	/* "p2m!" */

/**
 * struct p2m_mount - a mounted file system
 * @size: frames that all files together may have; 0 for no limit
 * @used: frames that they have
 * @mode: of the root directory
 * @uid: of the root directory
 * @gid: of the root directory
 * @share: the sharing domain of new guests, as in P2M_SHARE_DOMAIN
 */
struct p2m_mount {
	long		size;
	atomic_long_t	used;
	umode_t		mode;
	kuid_t		uid;
	kgid_t		gid;
	u64		share;
};

static const struct inode_operations p2m_dir_inode_operations;
static const struct inode_operations p2m_file_inode_operations;

static struct p2m_mount *p2m_mount_of(struct super_block *sb)
{
	return sb->s_fs_info;
}

/* ---- Sizes -------------------------------------------------------- */

/* Let the files of a mount have @nr more frames, if the mount has room. */
static int p2m_mount_take(struct p2m_mount *m, long nr)
{
	long used = atomic_long_read(&m->used), size = READ_ONCE(m->size);

	do {
		if (size && (used > size || nr > size - used))
			return -ENOSPC;
	} while (!atomic_long_try_cmpxchg(&m->used, &used, used + nr));
	return 0;
}

static int p2m_fs_grow(struct inode *inode, loff_t size)
{
	long nr = (size - i_size_read(inode)) >> PAGE_SHIFT;
	int err = p2m_mount_take(p2m_mount_of(inode->i_sb), nr);

	if (err)
		return err;
	p2m_guest_grow(inode->i_private, size >> PAGE_SHIFT);
	i_size_write(inode, size);
	return 0;
}

/* The guest has got smaller. */
static void p2m_fs_shrunk(struct inode *inode, loff_t size)
{
	long nr = (i_size_read(inode) - size) >> PAGE_SHIFT;

	i_size_write(inode, size);
	atomic_long_sub(nr, &p2m_mount_of(inode->i_sb)->used);
}

static int p2m_fs_shrink(struct inode *inode, loff_t size)
{
	int err = p2m_discard_end(inode->i_private, size >> PAGE_SHIFT);

	if (!err)
		p2m_fs_shrunk(inode, size);
	return err;
}

/**
 * p2m_fs_resize() - give a guest another size
 * @inode: its inode, locked
 * @size: the new size in bytes
 *
 * Context: process context, holding nothing of the guest; may sleep.
 * Return: 0; -EINVAL if @size is not of whole frames; -EFBIG if it is more than
 * P2M_MAX_GFNS, or than the process may make (RLIMIT_FSIZE); -ENOSPC if the
 * mount has no room; or an error of p2m_discard_end().
 */
int p2m_fs_resize(struct inode *inode, loff_t size)
{
	loff_t old = i_size_read(inode);
	int err;

	if (size & ~PAGE_MASK)
		return -EINVAL;
	err = inode_newsize_ok(inode, size);
	if (err || size == old)
		return err;
	if (size > old)
		err = p2m_fs_grow(inode, size);
	else
		err = p2m_fs_shrink(inode, size);
	if (!err)
		p2m_inode_modified(inode);
	return err;
}

/**
 * p2m_fs_undo_grow() - make a file smaller that was made larger for nothing
 * @inode: its inode, locked
 * @size: its size in bytes, of whole frames: what is past that was not there
 *
 * Context: process context, holding nothing of the guest; may sleep.
 */
void p2m_fs_undo_grow(struct inode *inode, loff_t size)
{
	if (size < i_size_read(inode) &&
	    !p2m_discard_new_end(inode->i_private, size >> PAGE_SHIFT))
		p2m_fs_shrunk(inode, size);
}

/* ---- Inodes ------------------------------------------------------- */

static void p2m_inode_make_dir(struct inode *inode)
{
	inode->i_op = &p2m_dir_inode_operations;
	inode->i_fop = &simple_dir_operations;
	inc_nlink(inode);
}

static int p2m_inode_make_guest(struct inode *inode)
{
	u64 share = READ_ONCE(p2m_mount_of(inode->i_sb)->share);
	struct p2m_guest *guest = p2m_guest_create(inode, share);

	if (IS_ERR(guest))
		return PTR_ERR(guest);
	inode->i_op = &p2m_file_inode_operations;
	inode->i_fop = &p2m_file_fops;
	inode->i_private = guest;
	return 0;
}

static struct inode *p2m_inode_new(struct super_block *sb, struct inode *dir,
				   umode_t mode)
{
	struct inode *inode = new_inode(sb);
	int err = 0;

	if (!inode)
		return ERR_PTR(-ENOMEM);
	inode->i_ino = get_next_ino();
	inode_init_owner(p2m_nop_idmap, inode, dir, mode);
	p2m_inode_made(inode);
	if (S_ISDIR(mode))
		p2m_inode_make_dir(inode);
	else
		err = p2m_inode_make_guest(inode);
	if (!err)
		return inode;
	iput(inode);
	return ERR_PTR(err);
}

static void p2m_evict_inode(struct inode *inode)
{
	struct p2m_mount *m = p2m_mount_of(inode->i_sb);

	truncate_inode_pages_final(inode->i_mapping);
	clear_inode(inode);
	if (!inode->i_private)
		return;
	p2m_guest_destroy(inode->i_private);
	atomic_long_sub(i_size_read(inode) >> PAGE_SHIFT, &m->used);
}

/* ---- Directories -------------------------------------------------- */

static int p2m_make(struct inode *dir, struct dentry *dentry, umode_t mode)
{
	struct inode *inode = p2m_inode_new(dir->i_sb, dir, mode);

	if (IS_ERR(inode))
		return PTR_ERR(inode);
	p2m_d_persist(dentry, inode);
	p2m_inode_modified(dir);
	return 0;
}

static int p2m_create(struct p2m_idmap *idmap, struct inode *dir,
		      struct dentry *dentry, P2M_CREATE_MODE)
{
	return p2m_make(dir, dentry, mode | S_IFREG);
}

static p2m_mkdir_result
p2m_mkdir(struct p2m_idmap *idmap, struct inode *dir, struct dentry *dentry,
	  umode_t mode)
{
	int err = p2m_make(dir, dentry, mode | S_IFDIR);

	if (!err)
		inc_nlink(dir);
	return P2M_MKDIR_RESULT(err);
}

static int p2m_tmpfile(struct p2m_idmap *idmap, struct inode *dir,
		       struct file *file, umode_t mode)
{
	struct inode *inode = p2m_inode_new(dir->i_sb, dir, mode | S_IFREG);

	if (IS_ERR(inode))
		return PTR_ERR(inode);
	d_tmpfile(file, inode);
	return finish_open_simple(file, 0);
}

static const struct inode_operations p2m_dir_inode_operations = {
	.create		= p2m_create,
	.lookup		= simple_lookup,
	.link		= simple_link,
	.unlink		= simple_unlink,
	.mkdir		= p2m_mkdir,
	.rmdir		= simple_rmdir,
	.rename		= simple_rename,
	.tmpfile	= p2m_tmpfile,
};

/* ---- Attributes of a file ----------------------------------------- */

static int p2m_setattr(struct p2m_idmap *idmap, struct dentry *dentry,
		       struct iattr *attr)
{
	struct inode *inode = d_inode(dentry);
	int err = setattr_prepare(idmap, dentry, attr);

	if (err)
		return err;
	if (attr->ia_valid & ATTR_SIZE) {
		/* Who has a descriptor may not take memory from the VMM. */
		if (attr->ia_size < i_size_read(inode) &&
		    !inode_owner_or_capable(idmap, inode))
			return -EPERM;
		err = p2m_fs_resize(inode, attr->ia_size);
		if (err)
			return err;
	}
	setattr_copy(idmap, inode, attr);
	return 0;
}

/* The blocks are what the guest has in memory, pages and stored contents. */
static int p2m_getattr(struct p2m_idmap *idmap, const struct path *path,
		       struct kstat *stat, u32 mask, unsigned int flags)
{
	struct inode *inode = d_inode(path->dentry);
	struct p2m_stats stats;

	p2m_fillattr(idmap, mask, inode, stat);
	p2m_guest_stats(inode->i_private, &stats);
	stat->blocks = (stats.resident + stats.paged) << (PAGE_SHIFT - 9);
	return 0;
}

static const struct inode_operations p2m_file_inode_operations = {
	.setattr	= p2m_setattr,
	.getattr	= p2m_getattr,
};

/* ---- The mount ---------------------------------------------------- */

static int p2m_statfs(struct dentry *dentry, struct kstatfs *buf)
{
	struct p2m_mount *m = p2m_mount_of(dentry->d_sb);
	long used = atomic_long_read(&m->used);
	int err = simple_statfs(dentry, buf);

	if (err || !m->size)
		return err;
	buf->f_blocks = m->size;
	buf->f_bfree = max(m->size - used, 0L);
	buf->f_bavail = buf->f_bfree;
	return 0;
}

static int p2m_show_options(struct seq_file *seq, struct dentry *root)
{
	struct p2m_mount *m = p2m_mount_of(root->d_sb);

	seq_printf(seq, ",mode=%03o", m->mode);
	if (!uid_eq(m->uid, GLOBAL_ROOT_UID))
		seq_printf(seq, ",uid=%u",
			   from_kuid_munged(&init_user_ns, m->uid));
	if (!gid_eq(m->gid, GLOBAL_ROOT_GID))
		seq_printf(seq, ",gid=%u",
			   from_kgid_munged(&init_user_ns, m->gid));
	if (m->size)
		seq_printf(seq, ",size=%luk",
			   (unsigned long)m->size << (PAGE_SHIFT - 10));
	if (m->share == P2M_DOMAIN_NEVER)
		seq_puts(seq, ",share=never");
	else if (m->share != P2M_DOMAIN_ALONE)
		seq_printf(seq, ",share=%llu", m->share);
	return 0;
}

/* Without a name nobody finds an inode again. */
static int p2m_drop_inode(struct inode *inode)
{
	return 1;
}

static const struct super_operations p2m_super_operations = {
	.statfs		= p2m_statfs,
	.drop_inode	= p2m_drop_inode,
	.evict_inode	= p2m_evict_inode,
	.show_options	= p2m_show_options,
};

static int p2m_fill_super(struct super_block *sb, struct fs_context *fc)
{
	struct p2m_mount *m = p2m_mount_of(sb);
	struct inode *root;

	sb->s_maxbytes = P2M_MAX_GFNS << PAGE_SHIFT;
	sb->s_blocksize = PAGE_SIZE;
	sb->s_blocksize_bits = PAGE_SHIFT;
	sb->s_magic = P2M_FS_MAGIC;
	sb->s_op = &p2m_super_operations;
	sb->s_time_gran = 1;
	sb->s_iflags |= SB_I_NOEXEC | SB_I_NODEV;

	root = p2m_inode_new(sb, NULL, S_IFDIR | m->mode);
	if (IS_ERR(root))
		return PTR_ERR(root);
	root->i_uid = m->uid;
	root->i_gid = m->gid;
	sb->s_root = d_make_root(root);
	return sb->s_root ? 0 : -ENOMEM;
}

enum { P2M_OPT_SIZE, P2M_OPT_MODE, P2M_OPT_UID, P2M_OPT_GID, P2M_OPT_SHARE };

static const struct fs_parameter_spec p2m_fs_parameters[] = {
	fsparam_string("size",	P2M_OPT_SIZE),
	fsparam_u32oct("mode",	P2M_OPT_MODE),
	fsparam_u32("uid",	P2M_OPT_UID),
	fsparam_u32("gid",	P2M_OPT_GID),
	fsparam_string("share",	P2M_OPT_SHARE),
	{}
};

/* How many bits a unit, the rest of a size, shifts; or -EINVAL. */
static int p2m_unit_shift(const char *unit)
{
	static const char units[] = "kmgt";
	const char *at;

	if (!*unit)
		return 0;
	at = strchr(units, tolower(*unit));
	return at && !unit[1] ? (at - units + 1) * 10 : -EINVAL;
}

static int p2m_parse_size(struct fs_context *fc, struct p2m_mount *m,
			  const char *text)
{
	size_t len = strspn(text, "0123456789");
	int shift = p2m_unit_shift(text + len);
	char digits[24];
	u64 size;

	strscpy(digits, text, min(len + 1, sizeof(digits)));
	if (shift < 0 || len >= sizeof(digits) ||
	    kstrtou64(digits, 10, &size) ||
	    size > P2M_MAX_GFNS << PAGE_SHIFT >> shift)
		return invalf(fc, "p2m: size=%s is not a size", text);
	m->size = DIV_ROUND_UP(size << shift, PAGE_SIZE);
	return 0;
}

static int p2m_parse_share(struct fs_context *fc, struct p2m_mount *m,
			   const char *text)
{
	if (!strcmp(text, "alone"))
		m->share = P2M_DOMAIN_ALONE;
	else if (!strcmp(text, "never"))
		m->share = P2M_DOMAIN_NEVER;
	else if (kstrtou64(text, 0, &m->share))
		return invalf(fc, "p2m: share=%s is no domain", text);
	return 0;
}

static int p2m_parse_owner(struct fs_context *fc, struct p2m_mount *m, int opt,
			   u32 id)
{
	kuid_t uid = make_kuid(current_user_ns(), id);
	kgid_t gid = make_kgid(current_user_ns(), id);

	if (opt == P2M_OPT_UID ? !uid_valid(uid) : !gid_valid(gid))
		return invalf(fc, "p2m: there is no such owner as %u", id);
	if (opt == P2M_OPT_UID)
		m->uid = uid;
	else
		m->gid = gid;
	return 0;
}

static int p2m_parse_param(struct fs_context *fc, struct fs_parameter *param)
{
	struct p2m_mount *m = fc->s_fs_info;
	struct fs_parse_result result;
	int opt = fs_parse(fc, p2m_fs_parameters, param, &result);

	switch (opt) {
	case P2M_OPT_SIZE:
		return p2m_parse_size(fc, m, param->string);
	case P2M_OPT_MODE:
		m->mode = result.uint_32 & S_IALLUGO;
		return 0;
	case P2M_OPT_UID:
	case P2M_OPT_GID:
		return p2m_parse_owner(fc, m, opt, result.uint_32);
	case P2M_OPT_SHARE:
		return p2m_parse_share(fc, m, param->string);
	default:
		return opt;
	}
}

static int p2m_get_tree(struct fs_context *fc)
{
	return get_tree_nodev(fc, p2m_fill_super);
}

/*
 * Another size, and another domain for the guests made from now on.  The root
 * directory has what chmod(1) and chown(1) gave it.
 */
static int p2m_reconfigure(struct fs_context *fc)
{
	struct p2m_mount *m = p2m_mount_of(fc->root->d_sb);
	struct p2m_mount *new = fc->s_fs_info;

	if (new->mode != m->mode || !uid_eq(new->uid, m->uid) ||
	    !gid_eq(new->gid, m->gid))
		return invalf(fc, "p2m: use chmod and chown on the directory");
	if (new->size && atomic_long_read(&m->used) > new->size)
		return invalf(fc, "p2m: the files have more than this size");
	WRITE_ONCE(m->size, new->size);
	WRITE_ONCE(m->share, new->share);
	return 0;
}

static void p2m_free_fc(struct fs_context *fc)
{
	kfree(fc->s_fs_info);
}

static const struct fs_context_operations p2m_context_operations = {
	.free		= p2m_free_fc,
	.parse_param	= p2m_parse_param,
	.get_tree	= p2m_get_tree,
	.reconfigure	= p2m_reconfigure,
};

static int p2m_init_fs_context(struct fs_context *fc)
{
	struct p2m_mount *m = kzalloc(sizeof(*m), GFP_KERNEL);

	if (!m)
		return -ENOMEM;
	if (fc->root) {
		*m = *p2m_mount_of(fc->root->d_sb);
	} else {
		m->mode = 0755;
		m->uid = current_fsuid();
		m->gid = current_fsgid();
		m->share = P2M_DOMAIN_ALONE;
	}
	fc->s_fs_info = m;
	fc->ops = &p2m_context_operations;
	return 0;
}

static void p2m_kill_sb(struct super_block *sb)
{
	struct p2m_mount *m = p2m_mount_of(sb);

	p2m_kill_litter(sb);
	kfree(m);
}

static struct file_system_type p2m_fs_type = {
	.owner		= THIS_MODULE,
	.name		= "p2m",
	.init_fs_context = p2m_init_fs_context,
	.parameters	= p2m_fs_parameters,
	.kill_sb	= p2m_kill_sb,
};
MODULE_ALIAS_FS("p2m");

/* ---- Guests without a name ---------------------------------------- */

/*
 * The mount for the guests of /dev/p2m.  It must not keep the module, which an
 * open descriptor does.
 */
static struct file_system_type p2m_unnamed_type = {
	.name		= "p2m-unnamed",
	.init_fs_context = p2m_init_fs_context,
	.kill_sb	= p2m_kill_sb,
};

static struct vfsmount *p2m_unnamed_mount;

/**
 * p2m_fs_unnamed() - make a guest that no directory has
 *
 * Context: process context; may sleep.
 * Return: the guest, for iput() of its inode; or an error of
 * p2m_guest_create().
 */
struct p2m_guest *p2m_fs_unnamed(void)
{
	struct super_block *sb = p2m_unnamed_mount->mnt_sb;
	struct inode *inode = p2m_inode_new(sb, NULL, S_IFREG | 0600);

	if (IS_ERR(inode))
		return ERR_CAST(inode);
	/* Kernels since 6.12 map 2 MB only below the end of a file. */
	i_size_write(inode, MAX_LFS_FILESIZE);
	return inode->i_private;
}

/**
 * p2m_fs_init() - make it possible to make guests without a name
 *
 * Context: module init.
 * Return: 0, or the error of kern_mount().
 */
int p2m_fs_init(void)
{
	p2m_unnamed_mount = kern_mount(&p2m_unnamed_type);
	return PTR_ERR_OR_ZERO(p2m_unnamed_mount);
}

/**
 * p2m_fs_exit() - undo p2m_fs_init()
 *
 * Context: module exit.
 */
void p2m_fs_exit(void)
{
	kern_unmount(p2m_unnamed_mount);
}

/**
 * p2m_fs_register() - make the file system known
 *
 * Context: the end of module init: a mount needs all of the module.
 * Return: 0, or the error of register_filesystem().
 */
int p2m_fs_register(void)
{
	return register_filesystem(&p2m_fs_type);
}

/**
 * p2m_fs_unregister() - undo p2m_fs_register()
 *
 * Context: module exit.
 */
void p2m_fs_unregister(void)
{
	unregister_filesystem(&p2m_fs_type);
}
