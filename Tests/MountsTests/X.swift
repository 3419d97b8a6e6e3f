
import Mounts
